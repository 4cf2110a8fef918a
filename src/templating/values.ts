/** Values of variables as text, and what may be compared with what: bounded, however lists are nested. */
import { type Context, Drop, defaultOperators, type Operators, toValue } from 'liquidjs';
import { charge, chargeSearch, cut } from './limits.ts';

/** What stands where a value is put out: lists are joined, and objects, which have no text, leave nothing. */
export function textOf(value: unknown, context: Context): string {
  const plain: unknown = toValue(value);
  if (typeof plain === 'string') return plain;
  if (typeof plain === 'number' || typeof plain === 'boolean') return String(plain);
  if (!Array.isArray(plain)) return '';
  let text = '';
  for (const item of plain) {
    const part = textOf(item, context);
    charge(context, part.length + 1);
    text += part;
  }
  return text;
}

/** A number for what is one or reads as one; else 0, as Liquid has it. */
export function numberOf(value: unknown): number {
  const plain: unknown = toValue(value);
  return typeof plain === 'number' || typeof plain === 'string' ? Number(plain) || 0 : 0;
}

type Operator = (left: unknown, right: unknown, context: Context) => ReturnType<Operators[string]>;

/**
 * Two strings are compared as a whole, in one step: that is charged. Lists and objects are equal to nothing but themselves, and neither more
 * nor less than anything, since JavaScript would write both out as text for that. What Liquid itself has to compare with (`empty`) stays.
 */
function bounded(usual: Operator, ofLists: (left: unknown, right: unknown) => boolean): Operator {
  return (left, right, context) => {
    if (left instanceof Drop || right instanceof Drop) return usual(left, right, context);
    if (isCompound(left) || isCompound(right)) return ofLists(left, right);
    if (typeof left === 'string' && typeof right === 'string') charge(context, Math.min(left.length, right.length) / 8);
    return usual(left, right, context);
  };
}

function isCompound(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/** Lists contain what is equal to an item; a text contains a text. */
const contains: Operator = (left, right, context) => {
  if (typeof left === 'string') return containsText(left, textOf(right, context), context);
  if (!Array.isArray(left)) return false;
  charge(context, left.length);
  return left.includes(right instanceof Drop ? toValue(right) : right);
};

function containsText(text: string, part: string, context: Context): boolean {
  return chargeSearch(context, text, part) ? cut(context, text, part, 'first').length > 1 : text.includes(part);
}

const no = () => false;
const isSame = (left: unknown, right: unknown) => left === right;
const isOther = (left: unknown, right: unknown) => left !== right;

export const operators: Operators = {
  ...defaultOperators,
  '==': bounded(operatorOf('=='), isSame),
  '!=': bounded(operatorOf('!='), isOther),
  '<': bounded(operatorOf('<'), no),
  '>': bounded(operatorOf('>'), no),
  '<=': bounded(operatorOf('<='), no),
  '>=': bounded(operatorOf('>='), no),
  contains,
};

function operatorOf(name: string): Operator {
  const operator = defaultOperators[name];
  if (operator === undefined) throw new Error(`liquidjs has no operator ${name}`);
  return operator as Operator;
}
