// Reads an Open Bandit file, gzipped or not, line by line, and scans it once for what must be known before the first event.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { type Impression, OpenBanditFileError, parseOpenBandit } from './parse-open-bandit.ts';

export type OpenBanditScan = {
  /** SHA-256 of the uncompressed content, so packing the same file again changes no id. */
  readonly contentSha256: string;
  readonly impressions: number;
  /** Impressions by policy, in order of first appearance. */
  readonly impressionsByPolicy: ReadonlyMap<string, number>;
  readonly firstTime: string;
  readonly lastTime: string;
};

/** Impressions of the file in file order; holds one chunk at a time. */
export async function* readImpressions(path: string): AsyncGenerator<Impression> {
  const content = await openContent(path);
  try {
    yield* parseOpenBandit(readLines(content, path), basename(path));
  } finally {
    content.destroy();
  }
}

/** Reads the whole file once. */
export async function scanOpenBandit(path: string): Promise<OpenBanditScan> {
  const impressionsByPolicy = new Map<string, number>();
  const times: string[] = [];
  let impressions = 0;
  for await (const impression of readImpressions(path)) {
    impressions += 1;
    impressionsByPolicy.set(impression.policy, (impressionsByPolicy.get(impression.policy) ?? 0) + 1);
    const { timestamp } = impression;
    if (times[0] === undefined || timestamp < times[0]) times[0] = timestamp;
    if (times[1] === undefined || timestamp > times[1]) times[1] = timestamp;
  }
  const hash = createHash('sha256');
  for await (const chunk of await openContent(path)) hash.update(chunk as Buffer);
  const [firstTime = '', lastTime = ''] = times;
  return { contentSha256: hash.digest('hex'), impressions, impressionsByPolicy, firstTime, lastTime };
}

/** By the first two bytes, not by the name. */
export async function isGzipped(path: string): Promise<boolean> {
  await using handle = await open(path);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0);
  return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
}

/** The uncompressed bytes. */
async function openContent(path: string): Promise<Readable> {
  const gzipped = await isGzipped(path);
  const content = new PassThrough();
  const source = createReadStream(path);
  const steps = gzipped ? [source, createGunzip(), content] : [source, content];
  // A failure of any step destroys `content`, whose reader then throws.
  pipeline(steps).catch(() => undefined);
  return content;
}

async function* readLines(content: Readable, path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  let linesRead = 0;
  try {
    for await (const chunk of content) {
      const lines = (rest + decoder.decode(chunk as Buffer, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      linesRead += lines.length;
      yield* lines;
    }
  } catch (cause) {
    const at = { file: basename(path), line: linesRead + 1 };
    throw new OpenBanditFileError(`cannot be read further (${(cause as Error).message})`, at);
  }
  if (rest !== '') yield rest;
}
