((doc_comment) @injection.content
  (#set! injection.language "markdown_inline")
  (#offset! @injection.content 0 3 0 0))

((comment) @injection.content
  (#set! injection.language "comment"))
