-- Whether a job of this cost may wait: false, or what put would answer.
local cost, now, capacity, capacity_cost = unpack(ARGV)
return overload(cost, now, capacity, capacity_cost) or false
