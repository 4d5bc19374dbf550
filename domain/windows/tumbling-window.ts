// Tumbling windows by event time: every instant belongs to exactly one hour and one day, in UTC.

export const windowGranularities = ['hour', 'day'] as const;
export type WindowGranularity = (typeof windowGranularities)[number];

const lengthMs: Readonly<Record<WindowGranularity, number>> = { hour: 3_600_000, day: 86_400_000 };

/** Half-open: `windowStartMs` is inclusive, `windowEndMs` exclusive; both in ms since 1970. */
export type TumblingWindow = {
  readonly granularity: WindowGranularity;
  readonly windowStartMs: number;
  readonly windowEndMs: number;
};

/** Start of the window that an instant (ms since 1970, also before it) belongs to. A day starts at midnight UTC. */
export function windowStartOf(timeMs: number, granularity: WindowGranularity): number {
  const length = lengthMs[granularity];
  return Math.floor(timeMs / length) * length;
}

/** The window that an instant belongs to. */
export function windowOf(timeMs: number, granularity: WindowGranularity): TumblingWindow {
  const windowStartMs = windowStartOf(timeMs, granularity);
  return { granularity, windowStartMs, windowEndMs: windowStartMs + lengthMs[granularity] };
}
