/** Where the plan comes from: a URL, a file that may change, or nothing but the dev inbox. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { PlanReading, TransportPlan } from '../../src/domain/transport-plan.ts';
import { openPlans } from '../../src/outbound/plans.ts';
import { settingsTo } from '../support/smtp-transport.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pr-transports-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const nothing = { url: undefined, file: undefined, variable: () => undefined, report: () => {} };
const fileWith = (host: string) => `transports:\n  mail: {host: ${host}}\n`;

it('the plan of a URL is one transport, which never changes', async () => {
  const url = settingsTo(25, { name: 'main' });
  const reports: PlanReading[] = [];
  await using plans = await openPlans({ ...nothing, url, report: (reading) => reports.push(reading) });
  plans.follow(() => expect.unreachable('It changed'));
  await plans.reload();
  expect([reports, plans.isFileWrong]).toEqual([['none'], false]);
  expect(plans.plan.transports).toEqual({ main: url });
  expect(plans.plan.routes).toMatchObject({ default: { transports: ['main'] } });
});

it('the plan without a URL and a file is the dev inbox', async () => {
  await using plans = await openPlans(nothing);
  expect(plans.plan).toMatchObject({ transports: {}, routes: { default: { transports: ['inbox'] } }, rules: [] });
});

it('the plan of a file follows the file: listeners get each change, a wrong file is only reported', async () => {
  const path = join(dir, 'transports.yaml');
  await writeFile(path, fileWith('one.example'));
  const reports: PlanReading[] = [];
  const heard: TransportPlan[][] = [[], []];
  await using plans = await openPlans({ ...nothing, file: path, report: (reading) => reports.push(reading) });
  for (const list of heard) plans.follow((plan) => list.push(plan));
  expect(plans.plan.transports.mail?.host).toBe('one.example');

  await writeFile(path, 'transports: {}\n');
  await plans.reload();
  expect(plans.plan.transports.mail?.host).toBe('one.example');
  expect(reports).toEqual([{ faults: [expect.stringContaining('transports')] }]);
  expect([heard, plans.isFileWrong]).toEqual([[[], []], true]);

  await writeFile(path, fileWith('one.example'));
  await plans.reload();
  await plans.reload();
  expect(reports.slice(1)).toEqual(['mended', 'same']);
  expect([heard, plans.isFileWrong]).toEqual([[[], []], false]);

  await writeFile(path, fileWith('two.example'));
  await plans.reload();
  expect(plans.plan.transports.mail?.host).toBe('two.example');
  expect(heard).toEqual([[plans.plan], [plans.plan]]);
  expect(reports.at(-1)).toBe('changed');
});

it('a file that is wrong at the start is refused', async () => {
  const path = join(dir, 'wrong.yaml');
  await writeFile(path, 'transports: {}\n');
  await expect(openPlans({ ...nothing, file: path })).rejects.toThrow(path);
});
