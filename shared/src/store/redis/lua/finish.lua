-- allow-oom
-- Finishes leases, each in one atomic step: attempts, outcomes, counters, removal from the queue.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; then for each lease: the lease as it stands in leases; packed: 1 where an earlier sending may have gone
--          through, number of reports; and for each report:
--            packed: kind (0 finish, 1 retry, 2 snooze), 1 where there is an attempt, 1 where that may have reached the
--              vendor, seq, due in ms (retry, snooze), the attempt's begin, end and calls, 429s;
--            text: finish: outcome's letter FS code FS message FS, then the attempt, or where there is none FS worker;
--              else the attempt or ''
-- replies  for each lease 0 or LAPSED
-- keeps    nothing is written for a lapsed lease; a lease is finished once: sent again, it is answered 0 where the
--          ledger shows this lease's own attempt or outcome, and nothing is counted twice
-- bounded  by 500 jobs; what they have in common is read and written once
-- allow-oom: what was done to a user must be recorded, and a finish frees more than it takes
local HEAD, REPORT = '<BI2', '<BBBI4i8i8i8I4I4'
local replies, woken = {}, false
local freed = {} -- users whose jobs are done with

-- Whether the ledger shows what this report says: an earlier sending of it went through.
local function is_written(run, seq, kind, attempted, text)
  local record = records(run, { seq })[1]
  if not record then return false end
  local outcome = match(record, '^[^\30]*\30[^\30]*\30(.*)$')
  if kind == 0 then return outcome ~= nil and sub(outcome, 1, #text) == text end
  if attempted ~= 1 then return false end
  local tries = call('HGET', run.key .. ':tries', seq)
  return (outcome and find(outcome, text, 1, true) ~= nil) or (tries and find(tries, text, 1, true) ~= nil)
end

local function carry_out(run, seq, record, tries, packed, text)
  local kind, attempted, maybe, _, due, began, ended, calls, throttled = unpack_struct(REPORT, packed)
  attempted = attempted == 1
  if attempted then
    run.attempts = run.attempts + 1
    run.calls = run.calls + calls
    if run.first == 0 or began < run.first then run.first = began end
    if ended > run.last then run.last = ended end
  end
  run.throttled = run.throttled + throttled
  if kind == 0 then
    end_job(run, seq, record, text, attempted, ended, tries)
  elseif run.cancelled then
    cancel_job(run, seq, record, text, ended, tries)
  else
    if attempted then
      note(run, seq, tries, text, kind == 1 and 1 or 0, 0, tostring(maybe), began, ended)
    elseif kind == 1 then
      note(run, seq, tries, nil, 1, 0, '0')
    end
    if kind == 1 then run.retries = run.retries + 1 end
    due = format('%d', due)
    call('ZADD', run.key .. ':wait', due, seq)
    offer_due(run, due)
    run.queued = run.queued + 1
    if tonumber(due) <= now then woken = true end
  end
end

-- The leases as sent.
local members, begins, sizes, at = {}, {}, {}, 2
while at <= #ARGV do
  local n = #members + 1
  local _, reports = unpack_struct(HEAD, ARGV[at + 1])
  members[n], begins[n], sizes[n] = ARGV[at], at + 2, reports
  at = at + 2 + 2 * reports
end

-- Those that live, by run, so that what is read of a run is read once. A lease that is named twice lives once.
local scores = call('ZMSCORE', base .. ':leases', unpack(members))
local live, taken, runs_in_turn, of_run = {}, {}, {}, {}
for i = 1, #members do
  local member, score = members[i], scores[i]
  local id, seqs = match(member, '^([^\31]*)\31([^\31]*)')
  replies[i] = LAPSED
  if score and tonumber(score) > now and not taken[member] then
    replies[i] = 0
    taken[member] = true
    live[#live + 1] = member
    local group = of_run[id]
    if not group then
      group = { run = load_run(id), seqs = {}, leases = {}, lasts = {} }
      of_run[id] = group
      runs_in_turn[#runs_in_turn + 1] = group
    end
    local all = group.seqs
    group.leases[#group.leases + 1] = i
    if find(seqs, ',', 1, true) then
      for seq in gmatch(seqs, '%d+') do all[#all + 1] = seq end
    else
      all[#all + 1] = seqs
    end
    group.lasts[#group.leases] = #all
  elseif not score and unpack_struct(HEAD, ARGV[begins[i] - 1]) == 1 and load_run(id) then
    for k = begins[i], begins[i] + 2 * sizes[i] - 1, 2 do
      local kind, attempted, _, seq = unpack_struct(REPORT, ARGV[k])
      if is_written(load_run(id), format('%d', seq), kind, attempted, ARGV[k + 1]) then replies[i] = 0 end
    end
  end
end

for g = 1, #runs_in_turn do
  local group = runs_in_turn[g]
  local run, seqs, leases = group.run, group.seqs, group.leases
  local found, tries = records(run, seqs), tries_of(run, seqs)
  run.changed = true
  run.leased = run.leased - #seqs
  for j = 1, #seqs do freed[#freed + 1] = user_of(found[j]) end
  local from, untouched = 1, {}
  for l = 1, #leases do
    local i = leases[l]
    local last, first_report = group.lasts[l], begins[i]
    if last == from and sizes[i] == 1 then
      carry_out(run, seqs[from], found[from], tries[from], ARGV[first_report], ARGV[first_report + 1])
    else
      local reported = {}
      for k = first_report, first_report + 2 * sizes[i] - 1, 2 do
        local _, _, _, seq = unpack_struct(REPORT, ARGV[k])
        reported[format('%d', seq)] = k
      end
      for j = from, last do
        local k = reported[seqs[j]]
        if k then
          carry_out(run, seqs[j], found[j], tries[j], ARGV[k], ARGV[k + 1])
        elseif run.cancelled then
          cancel_job(run, seqs[j], found[j], '', 0, tries[j])
        else
          untouched[#untouched + 1] = seqs[j]
        end
      end
    end
    from = last + 1
  end
  if #untouched > 0 then
    requeue(run, untouched)
    run.queued = run.queued + #untouched
    woken = true
  end
end
end_leases(live, freed)
save_jobs()
save_runs()
if woken then wake() end
return replies
