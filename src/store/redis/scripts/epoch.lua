-- KEYS: epoch, generation.
local epoch = epoch_of(KEYS[1], generation(KEYS[2]))
if epoch == '' then
  return unwritten('g')
end
return unwritten('d' .. epoch)
