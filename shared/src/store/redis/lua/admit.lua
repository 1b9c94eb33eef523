-- Numbers a resolved run.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run
-- replies  {0, admission}, the one it has if it was admitted before; {NO_RUN}; {WRONG_PHASE, phase}
-- keeps    admissions rise, one a run; admissions: number -> run
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
if run.adm then return { 0, run.adm } end
if run.phase ~= 'r' or run.cancelled then return { WRONG_PHASE, run.phase } end
set(run, 'adm', call('HINCRBY', base, 'admission', 1))
set(run, 'phase', 'a')
call('HSET', base .. ':admissions', run.adm, run.id)
call('ZADD', base .. ':active', place(run), run.id)
save_runs()
wake()
return { 0, run.adm }
