-- Hand a job back to its queue, if this claim holds it.
local id, epoch = ARGV[2], ARGV[3]
local job = held(id, epoch)
if job then wait_again(id, job) end
