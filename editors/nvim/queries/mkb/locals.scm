[
  (job_item)
  (task_item)
  (model_item)
  (tool_item)
  (compose_item)
  (for_expression)
  (repeat_expression)
  (block)
] @local.scope

(parameter name: (identifier) @local.definition.parameter)
(let_statement pattern: (identifier) @local.definition.var)
(tuple_pattern (identifier) @local.definition.var)
(for_expression name: (identifier) @local.definition.var)
(repeat_expression carry: (identifier) @local.definition.var)
(knob_line name: (identifier) @local.definition.parameter)

(identifier) @local.reference
