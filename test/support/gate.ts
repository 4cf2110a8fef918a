/** Holds a scripted server's answers back until a test lets them go. */

export type Gate = {
  /** The answers that are held, oldest first. */
  readonly held: readonly (() => void)[];
  /** What a script returns to have the usual answer held; nothing once the gate is open. */
  pass(): Promise<undefined> | undefined;
  /** Lets go what is held now; returns how many that was. */
  letThrough(): number;
  open(): void;
};

export function makeGate(): Gate {
  const held: (() => void)[] = [];
  let isOpen = false;
  const letThrough = () => held.splice(0).map((go) => go()).length;
  return {
    held,
    pass: () => (isOpen ? undefined : new Promise((go) => held.push(() => go(undefined)))),
    letThrough,
    open() {
      isOpen = true;
      letThrough();
    },
  };
}
