-- The language server, as Neovim 0.11 and later read it. `vim.lsp.config("mkbc", { cmd = { … } })` overrides it.
return {
  cmd = { "mkbc", "lsp" },
  filetypes = { "mkb" },
  root_markers = { ".git" },
}
