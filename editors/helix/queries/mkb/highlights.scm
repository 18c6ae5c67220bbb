; Where two patterns fit, the later one holds.

(identifier) @variable

; ---- comments ----

(comment) @comment
(doc_comment) @comment.documentation

; ---- words of the language ----

[
  "job"
  "task"
  "model"
  "tool"
  "compose"
  "implements"
  "cluster"
  "device"
  "type"
  "enum"
  "let"
  "goal"
  "slo"
  "minimize"
  "maximize"
  "then"
  "prefer"
  "expect"
  "using"
  "on"
  "of"
  "at"
  "per"
  "retry"
  "timeout"
  "fallback"
  "cache"
  "work"
  "size"
  "knob"
  "runs"
  "engine"
  "profile"
] @keyword

"use" @keyword.import

[
  "for"
  "in"
  "repeat"
  "up"
  "to"
  "until"
] @keyword.repeat

[
  "if"
  "else"
] @keyword.conditional

[
  "and"
  "or"
  "not"
] @keyword.operator

(property name: (identifier) @property)
(rule_statement name: (identifier) @keyword)

; ---- names ----

(use_item module: (path (identifier) @module))
(job_item name: (identifier) @function)
(task_item name: (identifier) @function)
(compose_item name: (identifier) @constructor)
(model_item name: (identifier) @constructor)
(tool_item name: (identifier) @constructor)
(model_item task: (identifier) @function)
(tool_item task: (identifier) @function)
(compose_item task: (identifier) @function)
(cluster_item name: (identifier) @constant)
(device_item name: (identifier) @constant)
(type_item name: (identifier) @type)
(enum_item name: (identifier) @type)
(variants (identifier) @constant)
(record_field name: (identifier) @property)
(parameter name: (identifier) @variable.parameter)

(named_type (identifier) @type)
(applied_type name: (identifier) @type)
((named_type (identifier) @type.builtin)
  (#match? @type.builtin
    "^(Text|Int|Float|Bool|Json|Bytes|Image|Audio|Video|Document|Frames|Transcript|Embedding)$"))
((applied_type name: (identifier) @type.builtin)
  (#eq? @type.builtin "List"))

(call callee: (identifier) @function.call)
; A record is made by a call of its type.
((call callee: (identifier) @type)
  (#match? @type "^[A-Z]"))
(argument name: (identifier) @variable.parameter)
(field_expression field: (identifier) @property)

(knob_line name: (identifier) @variable.parameter)
(knob_pin knob: (identifier) @variable.parameter)
(using implementation: (identifier) @constructor)
(fallback (identifier) @constructor)
(hardware device: (identifier) @constant)
(pool device: (identifier) @constant)
(on_statement cluster: (identifier) @constant)
(engine_line name: (identifier) @module)
(work_line name: (identifier) @property)
(size_line of: (path (identifier) @property))
(clause metric: (path (identifier) @property))
(wish_statement metric: (path (identifier) @property))
(expect_statement input: (path . (identifier) @variable.parameter))
(word) @constant

; ---- values ----

(number) @number
(unit) @keyword.unit
(boolean) @boolean
(text) @string
(escape) @string.escape
(placeholder) @string.special
(hole "?" @punctuation.special)
(hole description: (text) @string.special)

; ---- signs ----

[
  "->"
  "="
  "=="
  "!="
  "<"
  "<="
  ">"
  ">="
  "+"
  "-"
  "*"
  "/"
] @operator

(optional_type "?" @operator)

[
  "{"
  "}"
  "("
  ")"
  "["
  "]"
] @punctuation.bracket

[
  ","
  "."
  ":"
] @punctuation.delimiter
