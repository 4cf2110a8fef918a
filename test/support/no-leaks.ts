/** Runs around every test file: whatever a test world opened must be closed when the file ends. */
import { afterAll, expect } from 'vitest';
import { stillOpen } from './processes.ts';

afterAll(() => {
  expect(stillOpen(), 'processes a test started and did not end').toEqual([]);
});
