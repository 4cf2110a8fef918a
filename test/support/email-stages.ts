/** The stages that find and change emails, over the store of a test. What they report goes nowhere. */

import type { Common } from '../../src/app.ts';
import { bindEmails } from '../../src/app-emails.ts';
import { cpuMs, monotonicNow } from '../../src/chance.ts';
import { openTemplating } from '../../src/templating/templating.ts';
import type { TestStore } from './store.ts';

export function emailStagesOver(store: TestStore['store']): ReturnType<typeof bindEmails> {
  const report: Partial<Common['report']> = { settled() {} };
  return bindEmails({ report: report as Common['report'] }, store, openTemplating({ now: monotonicNow, cpuMs }));
}
