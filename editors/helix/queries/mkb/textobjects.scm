(job_item body: (block) @function.inside) @function.around
(compose_item body: (block) @function.inside) @function.around
(task_item body: (library_block) @function.inside) @function.around
(model_item body: (library_block) @class.inside) @class.around
(tool_item body: (library_block) @class.inside) @class.around
(type_item body: (record_fields) @class.inside) @class.around
(parameters (parameter) @parameter.inside @parameter.around)
(arguments (_) @parameter.inside @parameter.around)

[
  (comment)
  (doc_comment)
] @comment.inside

(comment)+ @comment.around
(doc_comment)+ @comment.around
