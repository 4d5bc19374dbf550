// Tests the text of the status table.
import { expect, test } from 'vitest';
import { describeStatus } from './status-report.ts';

test('shows one line per component and the problem of each that fails', () => {
  const text = describeStatus([
    { component: 'kafka', state: 'healthy', address: '127.0.0.1:9092', pid: 12, logPath: 'kafka.log' },
    {
      component: 'postgres',
      state: 'failing',
      address: '127.0.0.1:5432',
      pid: 7,
      logPath: 'postgres.log',
      problem: 'connection refused',
    },
    { component: 'objectStore', state: 'down', address: '127.0.0.1:9000', pid: null, logPath: 'objectStore.log' },
  ]);
  expect(text.split('\n')).toEqual([
    'component    state    address         pid  log',
    'kafka        healthy  127.0.0.1:9092  12   kafka.log',
    'postgres     failing  127.0.0.1:5432  7    postgres.log',
    'objectStore  down     127.0.0.1:9000  -    objectStore.log',
    'postgres: connection refused',
  ]);
});
