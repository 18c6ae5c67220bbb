vim.bo.commentstring = "// %s"
vim.bo.comments = ":///,://"
vim.bo.expandtab = true
vim.bo.shiftwidth = 2
vim.bo.softtabstop = 2
-- With the parser installed (see the README), its queries colour; else the syntax file does, if it is there.
if vim.treesitter.start ~= nil then
  pcall(vim.treesitter.start, 0, "mkb")
end
