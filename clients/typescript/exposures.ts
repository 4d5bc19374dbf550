// Turns decisions into exposures: one per experiment, unit, variant and UTC day, under an id that everybody derives alike.
import { createExposureQueue, type ExposureQueue } from './exposure-queue.ts';
import type { Settings } from './settings.ts';
import type { Client } from './types.ts';
import { uuidOfName } from './uuid-v5.ts';

const maxKnownExposures = 100_000;

export type Exposures = Pick<ExposureQueue, 'flush' | 'close'> & Pick<Client, 'expose'>;

export function createExposures(settings: Settings): Exposures {
  const queue = settings.ingestionUrl ? createExposureQueue(settings, settings.ingestionUrl) : undefined;
  const known = new Set<string>();
  let knownDay = '';
  const page: Document | undefined = globalThis.document;
  const onHide = (): void => {
    if (document.visibilityState === 'hidden') queue?.flushOnHide();
  };
  page?.addEventListener('visibilitychange', onHide);
  return {
    expose: ({ experimentId, variantId, assignedVariantId, reason, unit: { unitType, unitId } }, context) => {
      // Test units, and what is served to all, say nothing about the assigned variants.
      if (!experimentId || !variantId || variantId !== assignedVariantId || reason !== 'assigned') return false;
      const timestamp = new Date(settings.nowMs()).toISOString();
      const day = timestamp.slice(0, 10);
      // The unit id comes last, because it is the only part that may hold a slash.
      const name = `exposure/${experimentId}/${variantId}/${day}/${unitType}/${unitId}`;
      if (day !== knownDay || known.size >= maxKnownExposures) known.clear();
      knownDay = day;
      if (known.has(name)) return false;
      if (!queue) {
        settings.onError('exposure', new Error('exposures need ingestionUrl'));
        return false;
      }
      const isQueued = queue.add({
        event_id: uuidOfName(name),
        event_type: 'exposure',
        unit_type: unitType,
        unit_id: unitId,
        experiments: [{ experiment_id: experimentId, variant_id: variantId }],
        ...(context && { context }),
        timestamp,
      });
      if (isQueued) known.add(name);
      return isQueued;
    },
    flush: async () => (await queue?.flush()) ?? 0,
    close: async () => {
      page?.removeEventListener('visibilitychange', onHide);
      await queue?.close();
    },
  };
}
