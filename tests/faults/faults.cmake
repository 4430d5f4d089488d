# SPDX-License-Identifier: MIT
# Plants one fault at a time in a copy of the headers, rebuilds the test file that it concerns against the copy, and demands
# that it fails: a test that cannot fail proves nothing.
#   cmake -DSOURCE=<repository> -DWORK=<scratch folder> -DCXX=<compiler> [-DDOCTEST=<include folder>] [-DPART=<p> -DPARTS=<n>] -P faults.cmake
# Of n runs side by side, each in a folder of its own, run p of 0 ... n-1 plants every n-th fault.
if(NOT CXX)
  set(CXX c++)
endif()
set(flags -std=c++20 -O0 -w -DESPALIER_TEST_ORACLE_ONLY -I${SOURCE}/tests/support)
if(DOCTEST)
  list(APPEND flags -isystem ${DOCTEST})
endif()
file(REMOVE_RECURSE ${WORK})
file(COPY ${SOURCE}/include DESTINATION ${WORK})
function(compile source result)
  execute_process(COMMAND ${CXX} ${flags} -I${WORK}/include ${SOURCE}/tests/${source} ${ARGN} -o ${WORK}/${result}
                  RESULT_VARIABLE built ERROR_VARIABLE message)
  if(NOT built EQUAL 0)
    message(FATAL_ERROR "tests/${source} does not compile:\n${message}")
  endif()
endfunction()
compile(support/main.cpp main.o -c)

# The file that `concerned` names.
function(run_tests result)
  compile(${concerned}.test.cpp program ${WORK}/main.o)
  execute_process(COMMAND ${WORK}/program RESULT_VARIABLE code OUTPUT_QUIET ERROR_QUIET)
  set(${result} ${code} PARENT_SCOPE)
endfunction()

if(NOT PARTS)
  set(PART 0)
  set(PARTS 1)
endif()
set(turn 0)
foreach(concerned IN ITEMS nn/gradients nn/fused_attention nn/mlp adapter/sequential_gradients nn/language_head
                           kernel/relative_position kernel/position model/bert_positions)
  math(EXPR mine "${turn} % ${PARTS}")
  math(EXPR turn "${turn} + 1")
  if(mine EQUAL PART)
    run_tests(code)
    if(NOT code EQUAL 0)
      message(FATAL_ERROR "tests/${concerned}.test.cpp fails without any fault planted")
    endif()
  endif()
endforeach()
set(caught 0)
set(missed 0)
set(turn 0)
function(plant file name sound_text faulty_text)
  math(EXPR mine "${turn} % ${PARTS}")
  math(EXPR turn "${turn} + 1")
  set(turn ${turn} PARENT_SCOPE)
  if(NOT mine EQUAL PART)
    return()
  endif()
  set(path ${WORK}/include/espalier/${file})
  file(READ ${path} sound)
  string(REPLACE "${sound_text}" "${faulty_text}" faulty "${sound}")
  if(faulty STREQUAL sound)
    message(FATAL_ERROR "${file} no longer says: ${sound_text}")
  endif()
  file(WRITE ${path} "${faulty}")
  run_tests(code)
  file(WRITE ${path} "${sound}")
  if(code EQUAL 1)  # a test has failed; a program that crashes has caught nothing
    message("caught  ${file}: ${name}")
    math(EXPR caught "${caught} + 1")
  else()
    message("MISSED  ${file}: ${name} (ended with ${code})")
    math(EXPR missed "${missed} + 1")
  endif()
  set(missed ${missed} PARENT_SCOPE)
  set(caught ${caught} PARENT_SCOPE)
endfunction()

# file, the fault, what stands there, what is put in its place
set(concerned nn/gradients)
plant([[adapter/low_rank.hpp]] [[missing scale in dB]]
      [[gemm(T(scale), dy.t(), act.z, T(1), b.grad)]]
      [[gemm(T(1), dy.t(), act.z, T(1), b.grad)]])
plant([[adapter/low_rank.hpp]] [[sign of dz]]
      [[gemm(T(scale), dy, b.value, T(0), dz)]]
      [[gemm(T(-scale), dy, b.value, T(0), dz)]])
plant([[adapter/low_rank.hpp]] [[dx overwritten instead of added to]]
      [[gemm(T(1), dzc, a.value, T(1), dx)]]
      [[gemm(T(1), dzc, a.value, T(0), dx)]])
plant([[adapter/low_rank.hpp]] [[missing scale in dA]]
      [[gemm(T(1), dzc.t(), dropping ? this->dropped(scratch, act.x) : act.x, T(1), a.grad)]]
      [[gemm(T(1 / scale), dzc.t(), dropping ? this->dropped(scratch, act.x) : act.x, T(1), a.grad)]])
plant([[nn/linear.hpp]] [[sign of dy W]]
      [[if (dx) pass.device.gemm(A(1), dh, View<const W, 2>(weight.view()), A(1), dx);]]
      [[if (dx) pass.device.gemm(A(-1), dh, View<const W, 2>(weight.view()), A(1), dx);]])
plant([[kernel/norm.hpp]] [[a power of 1/rms too few]]
      [[const A c = dot * s * s * s /]]
      [[const A c = dot * s * s /]])
plant([[kernel/norm.hpp]] [[sign of the projection term]]
      [[(s * g[j] * A(dyi[j]) - c * A(xi[j]))]]
      [[(s * g[j] * A(dyi[j]) + c * A(xi[j]))]])
plant([[kernel/rotary.hpp]] [[rotation not undone in backward]]
      [[s = sines[j] * sign, u]]
      [[s = sines[j], u]])
plant([[kernel/swiglu.hpp]] [[sign in the derivative of silu]]
      [[(A(1) + g * (A(1) - s))]]
      [[(A(1) - g * (A(1) - s))]])
plant([[kernel/swiglu.hpp]] [[missing sigmoid in dup]]
      [[dui[j] = T(d * g * s);]]
      [[dui[j] = T(d * g);]])
plant([[nn/feed_forward.hpp]] [[wrong gradient handed on]]
      [[up_proj.backward(scratch, dup, act.up, dx, units.outputs(1));]]
      [[up_proj.backward(scratch, dgate, act.up, dx, units.outputs(1));]])
plant([[nn/attention.hpp]] [[keys rotated the wrong way]]
      [[rotate(pass, angles, -1, groups(), dK);]]
      [[rotate(pass, angles, +1, groups(), dK);]])
plant([[nn/attention.hpp]] [[values take the keys' gradient]]
      [[v_proj.backward(scratch, dV, act.v, dx, kv_mask());]]
      [[v_proj.backward(scratch, dK, act.v, dx, kv_mask());]])
plant([[kernel/attention_backward.hpp]] [[keys forget the mean of softmax]]
      [[slope = probability * (slope - this->delta(first + t0 + i, h));]]
      [[slope = probability * slope;]])
plant([[kernel/attention_backward.hpp]] [[missing scale of the scores in dq]]
      [[team.each(lanes, [&](Index l) { dqt.row(j)[l] *= this->scale; });]]
      [[(void)j;]])
plant([[kernel/visibility.hpp]] [[keys learn from queries of another document]]
      [[{before < 0 ? 0 : before < lanes ? before : lanes, at >=]]
      [[{0, at >=]])
plant([[kernel/visibility.hpp]] [[queries see the end of another document]]
      [[const Index end = documents.end(row, lane_at + from, last);]]
      [[const Index end = last;]])
plant([[nn/block.hpp]] [[residual fed back]]
      [[post_attention_layernorm.backward(inner, dn, act.middle_norm, da);]]
      [[post_attention_layernorm.backward(inner, da, act.middle_norm, da);]])
plant([[nn/block.hpp]] [[residual branch forgotten]]
      [[pass.device.for_each(dx.size(), kernel::Accumulate<T>{da.data, dx.data});]]
      [[(void)0;]])
plant([[kernel/dropout.hpp]] [[backward of dropout without its scale]]
      [[const A scale = A(float(1 / (1 - p)));]]
      [[const A scale = add ? A(1) : A(float(1 / (1 - p)));]])

set(concerned nn/language_head)
plant([[nn/language_head.hpp]] [[gradient of a later panel written over the first]]
      [[dh.rows(i, n));]]
      [[dh.rows(0, n));]])
plant([[nn/language_head.hpp]] [[targets of the first panel for all]]
      [[targets + i, weight]]
      [[targets, weight]])
plant([[kernel/loss.hpp]] [[nothing subtracted at the target]]
      [[xi[target] = T(exp(at_target - top) * factor - weight);]]
      [[xi[target] = T(exp(at_target - top) * factor);]])
plant([[kernel/loss.hpp]] [[weight forgotten in the softmax]]
      [[const A factor = weight / total;]]
      [[const A factor = A(1) / total;]])

set(concerned adapter/sequential_gradients)
plant([[adapter/sequential.hpp]] [[missing scale in dB]]
      [[gemm(T(scale), dz.t(), act.u, T(1), b.grad)]]
      [[gemm(T(1), dz.t(), act.u, T(1), b.grad)]])
plant([[adapter/sequential.hpp]] [[dh without the way through the adapter]]
      [[pass.device.gemm(T(1), duc, a.value, T(1), dh);]]
      [[(void)0;]])
plant([[adapter/sequential.hpp]] [[outputs masked on one side only]]
      [[if (mask) apply(pass, dh, mask.backward, mask.width, dh);]]
      [[(void)0;]])

set(concerned nn/mlp)
plant([[kernel/layer_norm.hpp]] [[mean of the gradient not taken away]]
      [[(g[j] * widen<A>(dyi[j]) - plain - normal * along)]]
      [[(g[j] * widen<A>(dyi[j]) - normal * along)]])
plant([[kernel/activation.hpp]] [[slope of GELU without the density]]
      [[return {x * below, below + x * density};]]
      [[return {x * below, below};]])
plant([[kernel/activation.hpp]] [[channels learn that are masked]]
      [[dxi[j] = T(widen<A>(dhi[j]) * m[j] * F()]]
      [[dxi[j] = T(widen<A>(dhi[j]) * F()]])

set(concerned nn/fused_attention)
plant([[nn/fused_attention.hpp]] [[keys and values take each other's gradient]]
      [[part(d, 0), part(d, 1), part(d, 2)]]
      [[part(d, 0), part(d, 2), part(d, 1)]])
plant([[nn/fused_attention.hpp]] [[a head that leaves forgets its values]]
      [[{&in, Axis::rows, d, 2 * d}]]
      [[{&in, Axis::rows, d, d}]])
plant([[nn/merge.hpp]] [[bias not merged with an adapter behind it]]
      [[if (adapter.kInput == Axis::rows && !p.bias.empty()) {]]
      [[if (false) {]])

set(concerned kernel/relative_position)
plant([[kernel/relative_position.hpp]] [[what a query says to where a key stands, read from the other end]]
      [[product.row(w.at(i, l))[l]; });]]
      [[product.row(w.count - 1 - w.at(i, l))[l]; });]])
plant([[kernel/relative_position.hpp]] [[gradient by way of the other table of positions]]
      [[const auto r = of_lanes(place);]]
      [[const auto r = of_rows(place);]])

set(concerned kernel/position)
plant([[kernel/position.hpp]] [[positions that are given are not looked at]]
      [[position.row(at != nullptr ? at[i] : i % seq)]]
      [[position.row(i % seq)]])

set(concerned model/bert_positions)
plant([[model/bert.hpp]] [[RoBERTa counts padding, too]]
      [[count += text;]]
      [[++count;]])

message("${caught} faults caught, ${missed} missed")
if(missed GREATER 0 OR caught EQUAL 0)
  message(FATAL_ERROR "faults went unnoticed")
endif()
