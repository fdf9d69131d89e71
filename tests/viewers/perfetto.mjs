// node perfetto.mjs FOLDER TRACE QUERY...: prints the rows of each query over a trace, as JSON.
//
// The trace processor is Perfetto's own, as its UI runs it: WebAssembly in a web worker, spoken to by remote procedure
// calls in protobuf (trace_processor.proto). The folder is that of the UI.
import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';

const [folder, trace, ...queries] = process.argv.slice(2);

// What the bundle finds in a web worker, and no Node.
globalThis.self = { location: { href: `file://${folder}/` } };
globalThis.WorkerGlobalScope = class {};
globalThis.importScripts = () => {};
globalThis.XMLHttpRequest = class {
  open(_method, url) { this.file = path.join(folder, path.basename(url)); }
  send() { this.response = new Uint8Array(fs.readFileSync(this.file)).buffer; }
};
const { process: node, console: terminal } = globalThis;
globalThis.console = { ...terminal, log() {}, warn() {} };
delete globalThis.process;
vm.runInThisContext(fs.readFileSync(path.join(folder, 'engine_bundle.js'), 'utf8'));
globalThis.process = node;

// Protobuf, as far as the calls need it.
function varint(value) {
  const bytes = [];
  let rest = BigInt(value);
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}
const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, value) => Buffer.concat([varint((field << 3) | 2), varint(value.length), value]);
function* varints(buffer) {
  let [value, shift] = [0n, 0n];
  for (const byte of buffer) {
    value |= BigInt(byte & 127) << shift;
    shift += 7n;
    if (byte < 128) {
      yield value;
      [value, shift] = [0n, 0n];
    }
  }
}
/** The fields of a message, as pairs of number and value. */
function* fields(buffer) {
  let at = 0;
  const next = () => {
    const begin = at;
    while (buffer[at++] >= 128);
    return [...varints(buffer.subarray(begin, at))][0];
  };
  while (at < buffer.length) {
    const key = Number(next());
    const kind = key & 7;
    if (kind === 0) yield [key >> 3, next()];
    else {
      const length = kind === 2 ? Number(next()) : kind === 1 ? 8 : 4;
      yield [key >> 3, buffer.subarray(at, (at += length))];
    }
  }
}

// The numbers are those of trace_processor.proto.
const [APPEND, FINALIZE, QUERY] = [1, 2, 3];
const [APPEND_DATA, QUERY_ARGUMENTS, FATAL, APPEND_RESULT, QUERY_RESULT] = [101, 103, 5, 201, 203];
const port = {};
self.onmessage({ data: port });
let sequence = 0;

/** Calls a method; returns the fields of all answers. */
function call(method, argument = Buffer.alloc(0)) {
  const answers = [];
  port.postMessage = (data) => answers.push(Buffer.from(data));
  const request = Buffer.concat([number(1, sequence++), number(2, method), argument]);
  port.onmessage({ data: new Uint8Array(bytes(1, request)) });
  const found = [...fields(Buffer.concat(answers))].flatMap(([, message]) => [...fields(message)]);
  for (const [field, value] of found) if (field === FATAL) throw new Error(`${value}`);
  return found;
}

function query(sql) {
  const [columns, cells] = [[], []];
  for (const [field, result] of call(QUERY, bytes(QUERY_ARGUMENTS, bytes(1, Buffer.from(sql))))) {
    if (field !== QUERY_RESULT) continue;
    for (const [part, value] of fields(result)) {
      if (part === 1) columns.push(`${value}`);
      if (part === 2) throw new Error(`${sql}: ${value}`);
      if (part === 3) cells.push(...batch(value));
    }
  }
  const rows = [];
  for (let at = 0; at < cells.length; at += columns.length) rows.push(cells.slice(at, at + columns.length));
  return rows;
}

/** The cells of a batch: their kinds, and the values of each kind. */
function batch(buffer) {
  let [kinds, numbers, floats, texts] = [[], [], [], []];
  for (const [field, value] of fields(buffer)) {
    if (field === 1) kinds = [...value];
    if (field === 2) numbers = [...varints(value)];
    if (field === 3) floats = Array.from({ length: value.length / 8 }, (_, at) => value.readDoubleLE(8 * at));
    if (field === 5) texts = `${value}`.split('\0');
  }
  const next = [() => null, () => null, () => Number(BigInt.asIntN(64, numbers.shift())), () => floats.shift(), () => texts.shift()];
  return kinds.map((kind) => next[kind]());
}

// The processor is ready when the promises that the bundle has made itself are kept.
await new Promise((resolve) => setTimeout(resolve));
const data = fs.readFileSync(trace);
for (let at = 0; at < data.length; at += 1 << 20) {
  for (const [field, result] of call(APPEND, bytes(APPEND_DATA, data.subarray(at, at + (1 << 20))))) {
    for (const [part, error] of field === APPEND_RESULT ? fields(result) : []) {
      if (part === 2) throw new Error(`${trace}: ${error}`);
    }
  }
}
call(FINALIZE);
terminal.log(JSON.stringify(queries.map(query)));
node.exit();
