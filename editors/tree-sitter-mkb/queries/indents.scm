; Neovim's captures; Helix and Zed have their own, in files of their own.

[
  (block)
  (library_block)
  (clauses)
  (pools)
  (device_properties)
  (engine_properties)
  (record_fields)
  (variants)
  (parameters)
  (arguments)
  (conditions)
  (knob_pins)
  (tuple_type)
  (tuple_pattern)
  (list)
  (parenthesized_expression)
] @indent.begin

[
  "}"
  ")"
  "]"
] @indent.branch @indent.end

[
  (comment)
  (doc_comment)
] @indent.auto
