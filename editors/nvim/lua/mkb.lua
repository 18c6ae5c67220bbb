-- Starts `mkbc lsp` for .mkb files, by what this Neovim has: `vim.lsp.enable` (0.11), `vim.lsp.start` (0.8) or `start_client` (0.7).
local M = {}

--- The folder that holds `.git`, else the file's own.
local function root(file)
  local folder = vim.fn.fnamemodify(file, ":p:h")
  local git = vim.fn.finddir(".git", vim.fn.escape(folder, " ,;") .. ";")
  return git ~= "" and vim.fn.fnamemodify(git, ":p:h:h") or folder
end

--- Sets it up. `options.cmd`: the program and its arguments (default: `mkbc lsp`); `options.on_attach`: called for each buffer.
function M.setup(options)
  options = options or {}
  local cmd = options.cmd or { "mkbc", "lsp" }
  if vim.fn.has("nvim-0.11") == 1 then
    vim.lsp.config("mkbc", { cmd = cmd, on_attach = options.on_attach })
    vim.lsp.enable("mkbc")
    return
  end
  local clients = {}
  local function attach(buffer)
    local config = {
      name = "mkbc",
      cmd = cmd,
      root_dir = root(vim.api.nvim_buf_get_name(buffer)),
      on_attach = options.on_attach,
    }
    if vim.lsp.start ~= nil then
      vim.lsp.start(config)
      return
    end
    local id = clients[config.root_dir]
    if id == nil or vim.lsp.get_client_by_id(id) == nil then
      id = vim.lsp.start_client(config)
      clients[config.root_dir] = id
    end
    if id ~= nil then
      vim.lsp.buf_attach_client(buffer, id)
    end
  end
  vim.api.nvim_create_autocmd("FileType", {
    pattern = "mkb",
    group = vim.api.nvim_create_augroup("mkbc", { clear = true }),
    callback = function(event)
      attach(event.buf)
    end,
  })
end

return M
