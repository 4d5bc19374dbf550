// What is kept of an event whose unit was erased, and the fingerprint that shows that all processes use one key.
import { createHmac } from 'node:crypto';
import type { EventRecord } from '#schemas/generated/records.ts';

/**
 * The event under a pseudonym: what was measured stays, so that results do not change. Context and payload go, because they may
 * hold anything about the unit. `exp.erase_unit` does the same to stored events, so a replayed event is a duplicate of its row.
 */
export function pseudonymizeEvent(event: EventRecord, pseudonym: string): EventRecord {
  return { ...event, unit_id: pseudonym, context: {}, payload: null };
}

/** Says which key made the hashes of exp.erasures without saying the key. */
export function erasureKeyFingerprint(key: string): Buffer {
  return createHmac('sha256', key).update('fingerprint of the erasure key').digest();
}
