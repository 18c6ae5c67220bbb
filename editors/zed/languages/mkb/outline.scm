(doc_comment) @annotation

(job_item "job" @context name: (identifier) @name) @item
(task_item "task" @context name: (identifier) @name) @item
(model_item "model" @context name: (identifier) @name) @item
(tool_item "tool" @context name: (identifier) @name) @item
(compose_item "compose" @context name: (identifier) @name) @item
(cluster_item "cluster" @context name: (identifier) @name) @item
(device_item "device" @context name: (identifier) @name) @item
(type_item "type" @context name: (identifier) @name) @item
(enum_item "enum" @context name: (identifier) @name) @item
