// The operations, decoded into typed arrays. The stream's layout is told in `page/data.rs`.

function decode(data, stream) {
  const text = atob(stream);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  let at = 0;
  // Beyond 2^31 bits must be added, not shifted.
  const number = () => {
    let value = 0, weight = 1, byte;
    do { byte = bytes[at++]; value += (byte & 127) * weight; weight *= 128; } while (byte >= 128);
    return value;
  };
  const n = data.count;
  const ops = {
    count: n, call: new Float64Array(n), end: new Float64Array(n), ended: new Uint8Array(n), index: new Uint32Array(n),
    outcome: new Uint8Array(n), role: new Uint8Array(n), process: new Uint32Array(n), lane: new Uint32Array(n),
    f: new Uint16Array(n), key: new Int32Array(n), texts: data.texts,
  };
  let time = 0, index = 0;
  for (let i = 0; i < n; i++) {
    ops.call[i] = time += number();
    ops.index[i] = index += number();
    const flags = bytes[at++];
    ops.outcome[i] = flags & 3;
    ops.role[i] = (flags >> 2) & 3;
    ops.ended[i] = (flags >> 4) & 1;
    ops.end[i] = ops.ended[i] ? time + number() : Math.max(data.end, time);
    ops.process[i] = number();
    ops.lane[i] = number();
    ops.f[i] = number();
    ops.key[i] = number() - 1;
  }
  if (at !== bytes.length) throw new Error("the operations of this page are damaged");
  return ops;
}

// The operations of each lane in the order of their calls, and the latest end so far, which never falls:
// by it the first operation in sight is found by bisection even where ends are out of order.
function byLane(ops, lanes) {
  const start = new Uint32Array(lanes + 1);
  for (let i = 0; i < ops.count; i++) start[ops.lane[i] + 1]++;
  for (let lane = 0; lane < lanes; lane++) start[lane + 1] += start[lane];
  const next = start.slice();
  const order = new Uint32Array(ops.count);
  for (let i = 0; i < ops.count; i++) order[next[ops.lane[i]]++] = i;
  const latest = new Float64Array(ops.count);
  for (let lane = 0; lane < lanes; lane++) {
    let most = -Infinity;
    for (let k = start[lane]; k < start[lane + 1]; k++) latest[k] = most = Math.max(most, ops.end[order[k]]);
  }
  return { start, order, latest };
}

// The first position in [low, high) whose value is not less than `least`.
function bisect(values, low, high, least) {
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < least) low = middle + 1; else high = middle;
  }
  return low;
}
