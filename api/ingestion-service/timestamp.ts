// Event times as text: ISO 8601 with an explicit zone, read strictly.

const pattern = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(?:Z|([+-])(\d{2}):(\d{2}))$/;

/**
 * Milliseconds since 1970, or null for anything but `YYYY-MM-DDThh:mm[:ss[.fraction]]` with `Z` or `±hh:mm`. Days that do not
 * exist, hour 24 and leap seconds are refused; digits beyond the millisecond are cut off.
 */
export function parseTimestamp(text: string): number | null {
  const match = pattern.exec(text);
  if (match === null) return null;
  const [year, month, day, hour, minute] = [match[1], match[2], match[3], match[4], match[5]].map(Number) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const second = Number(match[6] ?? 0);
  const millisecond = Number((match[7] ?? '').padEnd(3, '0').slice(0, 3));
  if (month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59) return null;
  const local = Date.UTC(year, month - 1, day, hour, minute, second, millisecond);
  // Date.UTC reads the years 0 to 99 as 1900 to 1999; no accepted event time is that old.
  if (year < 100 || day < 1 || new Date(local).getUTCDate() !== day) return null;
  if (match[8] === undefined) return local;
  const [zoneHours, zoneMinutes] = [Number(match[9]), Number(match[10])];
  if (zoneHours > 23 || zoneMinutes > 59) return null;
  return local - (match[8] === '+' ? 1 : -1) * (zoneHours * 60 + zoneMinutes) * 60_000;
}
