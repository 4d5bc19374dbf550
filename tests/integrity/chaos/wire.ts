// Recognizes on the wire what a process is doing: requests of Kafka, transactions of Postgres, uploads to S3.
import type { Passing } from './fault-link.ts';

/** True for the bytes at which it happens. Keeps notes per connection, so one recognizer belongs to one aim. */
export type Recognizer = (passing: Passing) => boolean;

export const kafkaApi = { produce: 0, joinGroup: 11, syncGroup: 14 } as const;

/** Statement of the runner that takes the fence: the first one of a flush. */
const fenceText = 'UPDATE exp.consumer_offsets SET next_offset';
const beginText = 'BEGIN\0';
const commitText = 'COMMIT\0';
const rollbackText = 'ROLLBACK\0';

/** A flush in Postgres: `begin` asks for a transaction, `fence` is its first statement, `commit` asks for its end, `committed` answers. */
export function recognizeFlush(stage: 'begin' | 'fence' | 'commit' | 'committed'): Recognizer {
  const flushing = new WeakSet<object>();
  return ({ direction, bytes, connection }) => {
    if (direction === 'request') {
      if (stage === 'begin') return bytes.includes(beginText);
      if (bytes.includes(rollbackText)) flushing.delete(connection);
      if (bytes.includes(fenceText)) {
        flushing.add(connection);
        return stage === 'fence';
      }
      return stage === 'commit' && flushing.has(connection) && bytes.includes(commitText);
    }
    // The text of the answer to a statement is the statement's name.
    if (!flushing.has(connection) || !bytes.includes(commitText)) return false;
    flushing.delete(connection);
    return stage === 'committed';
  };
}

/** The answer that says an object is stored. */
export function recognizeUpload(): Recognizer {
  const uploading = new WeakSet<object>();
  return ({ direction, bytes, connection }) => {
    if (direction === 'request') {
      const head = bytes.toString('latin1', 0, 1_024);
      if (head.startsWith('PUT /') && head.includes('.parquet')) uploading.add(connection);
      return false;
    }
    if (!uploading.has(connection) || !bytes.toString('latin1', 0, 12).startsWith('HTTP/1.1 200')) return false;
    uploading.delete(connection);
    return true;
  };
}

type Reading = { header: number[]; length: number; skip: number };
/** What has been seen of one Kafka connection: a frame may come in pieces, and one piece may hold many. */
type Conversation = { request: Reading; answer: Reading; readonly apiByCorrelation: Map<number, number> };

const newReading = (): Reading => ({ header: [], length: 0, skip: 0 });

/** Calls back with the first bytes of each frame, as many as asked for, once they have arrived. */
function readFrames(reading: Reading, bytes: Buffer, headerLength: number, frame: (header: Buffer) => void): void {
  let at = 0;
  while (at < bytes.length) {
    if (reading.skip > 0) {
      const skipped = Math.min(reading.skip, bytes.length - at);
      reading.skip -= skipped;
      at += skipped;
      continue;
    }
    reading.header.push(bytes[at]!);
    at += 1;
    if (reading.header.length < 4 + headerLength) continue;
    const header = Buffer.from(reading.header);
    reading.skip = header.readInt32BE(0) - headerLength;
    reading.header = [];
    frame(header.subarray(4));
  }
}

/**
 * Must see a connection from its first byte. `request` is true for a request of one of the kinds, `answer` for its answer.
 * All acks=all produce requests have an answer; correlation ids pair them.
 */
export function recognizeKafka(direction: 'request' | 'answer', apis: readonly number[]): Recognizer {
  const conversations = new WeakMap<object, Conversation>();
  return (passing) => {
    let conversation = conversations.get(passing.connection);
    if (conversation === undefined) {
      conversation = { request: newReading(), answer: newReading(), apiByCorrelation: new Map() };
      conversations.set(passing.connection, conversation);
    }
    const { apiByCorrelation } = conversation;
    let found = false;
    if (passing.direction === 'request') {
      readFrames(conversation.request, passing.bytes, 8, (header) => {
        const api = header.readInt16BE(0);
        if (!apis.includes(api)) return;
        apiByCorrelation.set(header.readInt32BE(4), api);
        if (direction === 'request') found = true;
      });
    } else {
      readFrames(conversation.answer, passing.bytes, 4, (header) => {
        if (apiByCorrelation.delete(header.readInt32BE(0)) && direction === 'answer') found = true;
      });
    }
    return found;
  };
}
