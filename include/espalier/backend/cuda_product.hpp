// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <espalier/backend/cuda_memory.hpp>
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>
#include <map>
#include <memory>
#include <type_traits>

namespace espalier::inline v0::detail {

template <class T>
inline constexpr int cuda_type = -1;
template <>
inline constexpr int cuda_type<float> = CUDA_R_32F;
template <>
inline constexpr int cuda_type<double> = CUDA_R_64F;
template <>
inline constexpr int cuda_type<BFloat16> = CUDA_R_16BF;

/// Whether cuBLASLt multiplies these types and sums in A: all alike, or bf16 into fp32.
template <class P, class Q, class R, class A>
inline constexpr bool cublas_multiplies =
    std::is_same_v<P, Q> && cuda_type<P> >= 0 && cuda_type<R> >= 0 &&
    (std::is_same_v<P, double> ? std::is_same_v<R, double> && std::is_same_v<A, double>
                               : std::is_same_v<A, float> && !std::is_same_v<R, double> &&
                                     (std::is_same_v<P, R> || std::is_same_v<P, BFloat16>));

/// Rows of a view as they lie: cuBLASLt reads a row-major matrix as the transpose of a column-major one.
struct Lying {
  bool by_rows = false, by_columns = false;
  Index step = 0;  // from one row or column to the next, in elements

  Lying(Index rows, Index cols, Index row_step, Index col_step) {
    const auto lies = [&](Index count, Index length, Index outer, Index inner) {
      if ((length > 1 && inner != 1) || (count > 1 && outer < length)) return false;
      step = std::max<Index>({count > 1 ? outer : length, length, 1});
      return true;
    };
    by_rows = lies(rows, cols, row_step, col_step);
    if (!by_rows) by_columns = lies(cols, rows, col_step, row_step);
  }
  template <class T>
  explicit Lying(View<T, 2> v) : Lying(v.rows(), v.cols(), v.stride[0], v.stride[1]) {}
};

/// Matrix products of cuBLASLt. For every shape its heuristic is asked once; the answer depends on shapes, strides and
/// types alone, so that the same program comes to the same bits. Sums are in fp32 or fp64, never in TF32 or bf16.
class CudaProducts {
 public:
  static constexpr Index kWorkspace = Index{32} << 20;

  CudaProducts(const CudaStream& stream, CudaMemory& memory) : stream_(stream), memory_(memory) {
    check_cublas(cublasLtCreate(&handle_), "cublasLtCreate");
  }
  ~CudaProducts() {
    plans_.clear();
    if (workspace_ != nullptr) memory_.give_back(workspace_);
    static_cast<void>(cublasLtDestroy(handle_));
  }
  CudaProducts(const CudaProducts&) = delete;
  CudaProducts& operator=(const CudaProducts&) = delete;

  /// c = alpha a b + beta c. False, and nothing done, where cuBLASLt has no way for these strides.
  template <class T, class R, class A>
  bool multiply(A alpha, View<const T, 2> a, View<const T, 2> b, A beta, View<R, 2> c) {
    const Lying in_c(c);
    if (a.cols() == 0 || (!in_c.by_rows && !in_c.by_columns)) return false;
    if (in_c.by_columns) return multiply<T, R, A>(alpha, b.t(), a.t(), beta, c.t());
    const Lying in_a(a), in_b(b);
    if ((!in_a.by_rows && !in_a.by_columns) || (!in_b.by_rows && !in_b.by_columns)) return false;
    // Column by column these are the transposes: cᵀ = bᵀ aᵀ.
    const Key key{cuda_type<T>, cuda_type<R>,   c.cols(),     c.rows(),       a.cols(),       in_b.by_rows, in_a.by_rows,
                  in_b.step,    in_a.step,      in_c.step,    aligned(b.data), aligned(a.data), aligned(c.data)};
    auto found = plans_.find(key);
    if (found == plans_.end()) found = plans_.emplace(key, std::make_unique<Plan>(*this, key)).first;
    const Plan& plan = *found->second;
    if (!plan.possible) return false;
    check_cublas(cublasLtMatmul(handle_, plan.operation, &alpha, b.data, plan.left, a.data, plan.right, &beta, c.data,
                                plan.result, c.data, plan.result, &plan.algorithm, workspace_, std::size_t(kWorkspace),
                                stream_),
                 "cublasLtMatmul");
    return true;
  }

 private:
  // Types, m, n, k, whether the operands lie transposed, leading dimensions, alignments.
  using Key = std::array<Index, 13>;

  /// What is known of an address: bytes, 16 at most, which is all that the fast ways ask for.
  static Index aligned(const void* p) {
    const auto at = reinterpret_cast<std::uintptr_t>(p);
    Index bytes = 16;
    while (at % std::uintptr_t(bytes) != 0) bytes /= 2;
    return bytes;
  }

  struct Plan {
    Plan(CudaProducts& products, const Key& key) {
      try {
        make(products, key);
      } catch (...) {
        destroy();
        throw;
      }
    }
    ~Plan() { destroy(); }
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;

    cublasLtMatmulDesc_t operation = nullptr;
    cublasLtMatrixLayout_t left = nullptr, right = nullptr, result = nullptr;
    cublasLtMatmulAlgo_t algorithm{};
    bool possible = false;

   private:
    void make(CudaProducts& products, const Key& key) {
      const auto [type, result_type, m, n, k, left_plain, right_plain, left_step, right_step, step, left_aligned,
                  right_aligned, aligned] = key;
      const bool wide = type == CUDA_R_64F;
      check_cublas(cublasLtMatmulDescCreate(&operation, wide ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F,
                                            wide ? CUDA_R_64F : CUDA_R_32F),
                   "cublasLtMatmulDescCreate");
      const auto transpose = [&](cublasLtMatmulDescAttributes_t which, bool plain) {
        const cublasOperation_t how = plain ? CUBLAS_OP_N : CUBLAS_OP_T;
        check_cublas(cublasLtMatmulDescSetAttribute(operation, which, &how, sizeof how), "cublasLtMatmulDescSetAttribute");
      };
      transpose(CUBLASLT_MATMUL_DESC_TRANSA, left_plain != 0), transpose(CUBLASLT_MATMUL_DESC_TRANSB, right_plain != 0);
      const auto lay = [&](cublasLtMatrixLayout_t& layout, Index t, Index rows, Index cols, Index ld) {
        check_cublas(cublasLtMatrixLayoutCreate(&layout, cudaDataType_t(int(t)), std::uint64_t(rows), std::uint64_t(cols), ld),
                     "cublasLtMatrixLayoutCreate");
      };
      lay(left, type, left_plain != 0 ? m : k, left_plain != 0 ? k : m, left_step);
      lay(right, type, right_plain != 0 ? k : n, right_plain != 0 ? n : k, right_step);
      lay(result, result_type, m, n, step);
      if (products.workspace_ == nullptr) products.workspace_ = products.memory_.take(kWorkspace);
      choose(products, left_aligned, right_aligned, aligned);
    }
    void choose(CudaProducts& products, Index left_aligned, Index right_aligned, Index aligned) {
      cublasLtMatmulPreference_t preference = nullptr;
      check_cublas(cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
      const std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>, cublasStatus_t (*)(cublasLtMatmulPreference_t)>
          owner(preference, cublasLtMatmulPreferenceDestroy);
      const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t which, auto value) {
        check_cublas(cublasLtMatmulPreferenceSetAttribute(preference, which, &value, sizeof value),
                     "cublasLtMatmulPreferenceSetAttribute");
      };
      prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t(kWorkspace));
      prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
      prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, std::uint32_t(left_aligned));
      prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, std::uint32_t(right_aligned));
      prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, std::uint32_t(aligned));
      prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, std::uint32_t(aligned));
      cublasLtMatmulHeuristicResult_t best{};
      int found = 0;
      const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(products.handle_, operation, left, right, result, result,
                                                                   preference, 1, &best, &found);
      if (status != CUBLAS_STATUS_SUCCESS && status != CUBLAS_STATUS_NOT_SUPPORTED)
        check_cublas(status, "cublasLtMatmulAlgoGetHeuristic");
      possible = status == CUBLAS_STATUS_SUCCESS && found == 1 && best.state == CUBLAS_STATUS_SUCCESS;
      algorithm = best.algo;
    }
    void destroy() {
      if (result != nullptr) static_cast<void>(cublasLtMatrixLayoutDestroy(result));
      if (right != nullptr) static_cast<void>(cublasLtMatrixLayoutDestroy(right));
      if (left != nullptr) static_cast<void>(cublasLtMatrixLayoutDestroy(left));
      if (operation != nullptr) static_cast<void>(cublasLtMatmulDescDestroy(operation));
    }
  };

  const CudaStream& stream_;
  CudaMemory& memory_;
  cublasLtHandle_t handle_ = nullptr;
  std::byte* workspace_ = nullptr;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

}  // namespace espalier::inline v0::detail
