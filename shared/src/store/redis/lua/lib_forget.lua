-- Forgets an open run: its pages are freed in the background (UNLINK), so this is short whatever the run's size.
local function forget(run)
  for page = 0, floor(max(0, run.next - 1) / PAGE) do call('UNLINK', run.key .. ':jobs:' .. page) end
  call('UNLINK', run.key)
  call('ZREM', base .. ':open', run.id)
end
