vim.filetype.add({ extension = { mkb = "mkb" } })
-- Before 0.8, Neovim asks only for what Lua knows if it is told to.
if vim.fn.has("nvim-0.8") == 0 then
  vim.cmd("autocmd BufRead,BufNewFile *.mkb setfiletype mkb")
end
