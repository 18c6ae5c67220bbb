; Only Helix: its own captures.

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
  (list)
] @indent

[
  "}"
  ")"
  "]"
] @outdent
