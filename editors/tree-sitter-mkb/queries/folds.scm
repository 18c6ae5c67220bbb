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
  (list)
] @fold
