/** Rates as they are written in a plan. */
import { parseRates, type Rate } from '../../src/domain/rate.ts';

export function ratesOf(text: string): readonly Rate[] {
  const rates = parseRates(text);
  if ('faults' in rates) throw new Error(text);
  return rates;
}
