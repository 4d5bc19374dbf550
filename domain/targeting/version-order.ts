// A text form of semantic versions whose plain string order is the order of the versions.

/**
 * Turns `v1.2.3-rc.1+build` into a text that sorts as the version does. Anything that is not a version sorts somewhere,
 * and a missing one as version 0, because targeting must never fail on what a client sends.
 */
export function toSortableVersion(version: unknown): string {
  const text = typeof version === 'number' ? String(version) : typeof version === 'string' && version ? version : '0';
  const parts = text.replace(/^v|\+.*$/g, '').split(/[-.]/);
  // A release is above its pre-releases, and `~` is the highest printable ASCII character.
  if (parts.length === 3) parts.push('~');
  return parts.map((part) => (/^\d+$/.test(part) ? part.padStart(5, ' ') : part)).join('-');
}
