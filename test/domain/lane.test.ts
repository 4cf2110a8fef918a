/** How many connections bulk may use beside the share kept for transactional. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bulkPlaces } from '../../src/domain/lane.ts';

describe('bulkPlaces', () => {
  it.each([
    [10, 0.25, 7],
    [4, 0.25, 3],
    [20, 0, 20],
    [20, 1, 1],
    [2, 0.5, 1],
    [1, 0.25, 1],
    [0, 0.25, 0],
    [100, 0.07, 93],
  ])('of %d connections with %d reserved is %d', (connections, reserve, places) => {
    expect(bulkPlaces(connections, reserve)).toBe(places);
  });

  it('leaves at least the share, but one for bulk', () => {
    const shares = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), shares, (connections, reserve) => {
        const places = bulkPlaces(connections, reserve);
        expect(places).toBeGreaterThanOrEqual(1);
        if (places > 1) expect(connections - places).toBeGreaterThanOrEqual(reserve * connections - 1e-6);
        expect(places).toBeGreaterThan(connections - reserve * connections - 1);
      }),
    );
  });
});
