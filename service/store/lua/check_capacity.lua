-- Returns false if the queue can take a job of this cost, else the reply of `put`.
local cost, now, capacity, capacity_cost = unpack(ARGV)
return overload(cost, now, capacity, capacity_cost) or false
