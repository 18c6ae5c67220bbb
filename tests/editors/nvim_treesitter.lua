-- The parser and the queries in Neovim itself (0.7 and later). Environment: EDITORS (the configuration's folder), PARSER (the shared library),
-- FILE (a .mkb file without errors). The exit status is 1 where something is wrong.

local function fail(text)
  io.stdout:write("failed: ", text, "\n")
  vim.cmd("cquit 1")
end

local function main()
  vim.opt.runtimepath:prepend(vim.env.EDITORS)
  vim.cmd("filetype plugin on")
  vim.cmd("runtime! ftdetect/mkb.lua")
  if vim.treesitter.language.add ~= nil then
    vim.treesitter.language.add("mkb", { path = vim.env.PARSER })
  else
    vim.treesitter.require_language("mkb", vim.env.PARSER)
  end
  vim.cmd("edit " .. vim.fn.fnameescape(vim.env.FILE))
  local root = vim.treesitter.get_parser(0, "mkb"):parse()[1]:root()
  if root:has_error() then
    fail("the tree has an error")
  end
  local get = vim.treesitter.query.get or vim.treesitter.query.get_query
  for _, name in ipairs({ "highlights", "folds", "indents", "locals", "injections" }) do
    local query = get("mkb", name)
    if query == nil then
      fail("no query " .. name)
    end
    local captures = 0
    for _ in query:iter_captures(root, 0, 0, -1) do
      captures = captures + 1
    end
    if captures == 0 then
      fail("nothing is captured by " .. name)
    end
    io.stdout:write(name, "\n")
  end
  -- Where Neovim colours by tree-sitter, it does so as soon as the file is opened.
  if vim.treesitter.start ~= nil and vim.treesitter.highlighter.active[vim.api.nvim_get_current_buf()] == nil then
    fail("the file is not coloured")
  end
end

local fine, problem = pcall(main)
if not fine then
  fail(tostring(problem))
end
vim.cmd("qall!")
