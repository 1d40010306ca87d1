-- Hand a job back to its queue, if this claim holds it.
local id, epoch, now = unpack(ARGV)
local job = held(id, epoch)
if job then wait_again(id, job, now) end
