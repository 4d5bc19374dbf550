// Structured logs: constant messages, data in fields, secrets and unit ids never written.
import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/** A logger that writes one JSON object per line to stdout; `service` equals the folder of the process. */
export function createLogger(options: { service: string; level: 'debug' | 'info' | 'warn' | 'error' }): Logger {
  return pino({
    level: options.level,
    base: { service: options.service },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: {
      paths: ['password', '*.password', 'authorization', '*.authorization', 'unitId', '*.unitId'],
      censor: '(hidden)',
    },
  });
}

/** For tests: a logger that drops everything below error. */
export function createSilentLogger(): Logger {
  return pino({ level: 'silent' });
}
