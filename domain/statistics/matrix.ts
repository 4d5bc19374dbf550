// The little linear algebra that delta methods and small regressions need: dense matrices of up to a handful of rows.

export type Matrix = readonly (readonly number[])[];

export function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

export function multiplyVector(matrix: Matrix, vector: readonly number[]): number[] {
  return matrix.map((row) => dot(row, vector));
}

/** aT M b: for a = b, the variance of a linear combination under the covariance M. */
export function bilinear(a: readonly number[], matrix: Matrix, b: readonly number[]): number {
  return dot(a, multiplyVector(matrix, b));
}

/** Inverse of a symmetric positive definite matrix by Cholesky; null when it is not positive definite. */
export function invertSymmetric(matrix: Matrix): number[][] | null {
  const size = matrix.length;
  const lower: number[][] = Array.from({ length: size }, () => new Array<number>(size).fill(0));
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i]![j]!;
      for (let k = 0; k < j; k++) sum -= lower[i]![k]! * lower[j]![k]!;
      if (i === j) {
        // A pivot this small against its diagonal is rounding, not information.
        if (!(sum > 1e-14 * Math.abs(matrix[i]![i]!))) return null;
        lower[i]![i] = Math.sqrt(sum);
      } else {
        lower[i]![j] = sum / lower[j]![j]!;
      }
    }
  }
  const inverse: number[][] = Array.from({ length: size }, () => new Array<number>(size).fill(0));
  for (let column = 0; column < size; column++) {
    const y = new Array<number>(size).fill(0);
    for (let i = 0; i < size; i++) {
      let sum = i === column ? 1 : 0;
      for (let k = 0; k < i; k++) sum -= lower[i]![k]! * y[k]!;
      y[i] = sum / lower[i]![i]!;
    }
    for (let i = size - 1; i >= 0; i--) {
      let sum = y[i]!;
      for (let k = i + 1; k < size; k++) sum -= lower[k]![i]! * inverse[k]![column]!;
      inverse[i]![column] = sum / lower[i]![i]!;
    }
  }
  return inverse;
}
