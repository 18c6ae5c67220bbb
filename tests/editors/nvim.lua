-- Drives `mkbc lsp` from a headless Neovim with this repository's configuration, as a user would: a diagnostic appears, a hole is filled
-- by a code action, a name is renamed. Works in 0.7 and later. Environment: MKBC (the program), EDITORS (the configuration's folder),
-- FILE (a .mkb file). What was found is printed line by line; the exit status is 1 where something did not happen.

local function say(text)
  io.stdout:write(text, "\n")
end

local function fail(text)
  say("failed: " .. text)
  vim.cmd("cquit 1")
end

--- Waits until something holds; the server has started and answered by then.
local function await(what, holds)
  if not vim.wait(60000, holds, 20) then
    fail("no " .. what)
  end
end

local function text()
  return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n") .. "\n"
end

local function set(lines)
  vim.api.nvim_buf_set_lines(0, 0, -1, false, vim.split(lines, "\n"))
end

--- Puts the cursor on the first place where `part` stands.
local function go(part)
  for number, line in ipairs(vim.api.nvim_buf_get_lines(0, 0, -1, false)) do
    local column = line:find(part, 1, true)
    if column ~= nil then
      vim.api.nvim_win_set_cursor(0, { number, column - 1 })
      return
    end
  end
  fail(part .. " stands nowhere in\n" .. text())
end

local function clients()
  return (vim.lsp.get_clients or vim.lsp.get_active_clients)()
end

local function codes()
  return vim.tbl_map(function(diagnostic)
    return tostring(diagnostic.code)
  end, vim.diagnostic.get(0))
end

local function main()
  vim.opt.runtimepath:prepend(vim.env.EDITORS)
  vim.cmd("filetype plugin on")
  vim.cmd("runtime! ftdetect/mkb.lua")
  require("mkb").setup({ cmd = { vim.env.MKBC, "lsp" } })
  vim.cmd("edit " .. vim.fn.fnameescape(vim.env.FILE))
  if vim.bo.filetype ~= "mkb" then
    fail("the file type is " .. vim.bo.filetype)
  end
  await("client", function()
    local client = clients()[1]
    return client ~= nil and client.initialized ~= false and (client.server_capabilities or {}).hoverProvider ~= nil
  end)
  local client = clients()[1]
  local encoding = client.offset_encoding or "utf-16"

  -- A diagnostic appears, and goes when its cause does.
  await("diagnostic E0303", function()
    return vim.tbl_contains(codes(), "E0303")
  end)
  say("diagnostic: E0303")
  set((text():gsub("<= 60 s", "<= 2 usd"):gsub("\n$", "")))
  await("end of the diagnostic", function()
    return not vim.tbl_contains(codes(), "E0303")
  end)
  say("diagnostic gone")

  -- A hole gets filled by a code action.
  go("? \"what is said\"")
  local params = vim.lsp.util.make_range_params(0, encoding)
  params.context = { diagnostics = {} }
  local fill
  await("action that fills the hole", function()
    local answers = vim.lsp.buf_request_sync(0, "textDocument/codeAction", params, 20000) or {}
    for _, answer in pairs(answers) do
      for _, action in ipairs(answer.result or {}) do
        if action.title:find("^Fill the hole") and fill == nil then
          fill = action
        end
      end
    end
    return fill ~= nil
  end)
  if fill.edit == nil then
    local resolved = vim.lsp.buf_request_sync(0, "codeAction/resolve", fill, 20000) or {}
    for _, answer in pairs(resolved) do
      fill = answer.result or fill
    end
  end
  vim.lsp.util.apply_workspace_edit(fill.edit, encoding)
  say("filled: " .. fill.title)
  if text():find("what is said", 1, true) then
    fail("the hole is still there:\n" .. text())
  end

  -- A name gets another one everywhere.
  go("audio) =")
  vim.lsp.buf.rename("sound")
  await("renaming", function()
    return text():find("sound) =", 1, true) ~= nil
  end)
  if text():find("audio", 1, true) then
    fail("a use kept its name:\n" .. text())
  end
  say("renamed")

  -- What is left has no error.
  await("file without errors", function()
    return #vim.diagnostic.get(0, { severity = vim.diagnostic.severity.ERROR }) == 0
  end)
  vim.cmd("silent write")
  say("done")
end

local fine, problem = pcall(main)
if not fine then
  fail(tostring(problem))
end
vim.cmd("qall!")
