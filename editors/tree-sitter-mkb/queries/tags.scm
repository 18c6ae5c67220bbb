; What a file declares, and what it refers to, with the documentation above it.

(
  (doc_comment)* @doc
  .
  [
    (job_item name: (identifier) @name)
    (task_item name: (identifier) @name)
    (compose_item name: (identifier) @name)
  ] @definition.function
  (#strip! @doc "^///\\s*")
  (#select-adjacent! @doc @definition.function)
)

(
  (doc_comment)* @doc
  .
  [
    (model_item name: (identifier) @name)
    (tool_item name: (identifier) @name)
  ] @definition.class
  (#strip! @doc "^///\\s*")
  (#select-adjacent! @doc @definition.class)
)

(
  (doc_comment)* @doc
  .
  [
    (type_item name: (identifier) @name)
    (enum_item name: (identifier) @name)
  ] @definition.type
  (#strip! @doc "^///\\s*")
  (#select-adjacent! @doc @definition.type)
)

[
  (cluster_item name: (identifier) @name)
  (device_item name: (identifier) @name)
] @definition.constant

(call callee: (identifier) @name) @reference.call
(using implementation: (identifier) @name) @reference.class
(model_item task: (identifier) @name) @reference.implementation
(tool_item task: (identifier) @name) @reference.implementation
(compose_item task: (identifier) @name) @reference.implementation
(named_type (identifier) @name) @reference.type
