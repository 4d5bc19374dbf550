// Arrays in Postgres' binary format, for unnest: exact doubles, no escaping, and a fraction of the work of array text.
//
// Format (src/backend/utils/adt/arrayfuncs.c, array_recv): int32 dimensions, int32 has-null flag, int32 element type, then
// per dimension int32 length and int32 lower bound, then per element int32 byte length and the bytes.

const oids = { int8: 20, int4: 23, text: 25, float8: 701, date: 1082, timestamptz: 1184, uuid: 2950 } as const;
const headerBytes = 20;
const msPerDay = 86_400_000;
/** Postgres counts days and microseconds from 2000-01-01. */
const epochMs = Date.UTC(2000, 0, 1);
const twoTo32 = 4_294_967_296;

function writeHeader(bytes: Buffer, elementOid: number, length: number): void {
  bytes.writeInt32BE(1, 0);
  bytes.writeInt32BE(0, 4);
  bytes.writeInt32BE(elementOid, 8);
  bytes.writeInt32BE(length, 12);
  bytes.writeInt32BE(1, 16);
}

function fixedWidth<T>(
  oid: number,
  width: number,
  values: readonly T[],
  write: (view: DataView, position: number, value: T) => void,
): Buffer {
  const bytes = Buffer.allocUnsafe(headerBytes + values.length * (4 + width));
  writeHeader(bytes, oid, values.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let position = headerBytes;
  for (const value of values) {
    view.setInt32(position, width);
    write(view, position + 4, value);
    position += 4 + width;
  }
  return bytes;
}

function setSafeInteger(view: DataView, position: number, value: number): void {
  view.setInt32(position, Math.floor(value / twoTo32));
  view.setUint32(position + 4, ((value % twoTo32) + twoTo32) % twoTo32);
}

export const float8Array = (values: readonly number[]): Buffer =>
  fixedWidth(oids.float8, 8, values, (view, position, value) => view.setFloat64(position, value));

export const int4Array = (values: readonly number[]): Buffer =>
  fixedWidth(oids.int4, 4, values, (view, position, value) => view.setInt32(position, value));

/** Of integers that a double holds exactly. */
export const int8Array = (values: readonly number[]): Buffer => fixedWidth(oids.int8, 8, values, setSafeInteger);

/** Of instants in ms since 1970; infinite values become Postgres' infinity. */
export const timestampArray = (timesMs: readonly number[]): Buffer =>
  fixedWidth(oids.timestamptz, 8, timesMs, (view, position, timeMs) => {
    if (Number.isFinite(timeMs)) setSafeInteger(view, position, (timeMs - epochMs) * 1000);
    else view.setBigInt64(position, timeMs > 0 ? 0x7fffffffffffffffn : -0x8000000000000000n);
  });

/** Of the UTC days that instants (ms since 1970) belong to. */
export const dateArray = (timesMs: readonly number[]): Buffer =>
  fixedWidth(oids.date, 4, timesMs, (view, position, timeMs) =>
    view.setInt32(position, Math.floor((timeMs - epochMs) / msPerDay)),
  );

/** Of canonical UUIDs (36 characters). */
export function uuidArray(values: readonly string[]): Buffer {
  const bytes = Buffer.allocUnsafe(headerBytes + values.length * 20);
  writeHeader(bytes, oids.uuid, values.length);
  let position = headerBytes;
  for (const value of values) {
    position = bytes.writeInt32BE(16, position);
    position += bytes.write(value.replaceAll('-', ''), position, 16, 'hex');
  }
  return bytes;
}

export function textArray(values: readonly string[]): Buffer {
  let size = headerBytes;
  for (const value of values) size += 4 + Buffer.byteLength(value);
  const bytes = Buffer.allocUnsafe(size);
  writeHeader(bytes, oids.text, values.length);
  let position = headerBytes;
  for (const value of values) {
    const written = bytes.write(value, position + 4);
    bytes.writeInt32BE(written, position);
    position += 4 + written;
  }
  return bytes;
}
