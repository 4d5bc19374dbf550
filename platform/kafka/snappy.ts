// Decompresses snappy as every Kafka client writes it.
import { uncompress as snappyUncompress } from 'snappyjs';

const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);

/** Java producers frame snappy blocks with a header and lengths; others send one raw block. */
export function decompressSnappy(buffer: Buffer): Buffer {
  if (!buffer.subarray(0, xerialMagic.length).equals(xerialMagic)) return Buffer.from(snappyUncompress(buffer));
  const blocks: Buffer[] = [];
  let position = 16;
  while (position < buffer.length) {
    const length = buffer.readInt32BE(position);
    blocks.push(Buffer.from(snappyUncompress(buffer.subarray(position + 4, position + 4 + length))));
    position += 4 + length;
  }
  return Buffer.concat(blocks);
}
