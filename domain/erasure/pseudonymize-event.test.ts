// Tests of what remains of an erased unit's event.
import { expect, test } from 'vitest';
import { sampleEvent } from '#tests/support/events.ts';
import { erasureKeyFingerprint, pseudonymizeEvent } from './pseudonymize-event.ts';

test('nothing that the unit or its event said about it remains, and everything that was measured does', () => {
  const event = sampleEvent({
    unit_id: 'mallory',
    context: { email: 'mallory@example.org' },
    payload: '{"household_id":"mallory"}',
  });
  const kept = pseudonymizeEvent(event, 'erased-1');
  expect(JSON.stringify(kept)).not.toContain('mallory');
  expect(kept).toEqual({ ...event, unit_id: 'erased-1', context: {}, payload: null });
});

test('keys are told apart by their fingerprints', () => {
  expect(erasureKeyFingerprint('a'.repeat(32)).equals(erasureKeyFingerprint('a'.repeat(32)))).toBe(true);
  expect(erasureKeyFingerprint('a'.repeat(32)).equals(erasureKeyFingerprint('b'.repeat(32)))).toBe(false);
});
