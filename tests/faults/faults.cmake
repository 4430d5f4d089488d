# SPDX-License-Identifier: MIT
# Plants one fault at a time in a copy of the headers, rebuilds the tests of gradients that it concerns against the copy,
# and demands that they fail: a test that cannot fail proves nothing.
#   cmake -DSOURCE=<repository> -DWORK=<scratch folder> -DCXX=<compiler> [-DDOCTEST=<include folder>] [-DPART=<p> -DPARTS=<n>] -P faults.cmake
# Of n runs side by side, each in a folder of its own, run p of 0 ... n-1 plants every n-th fault.
if(NOT CXX)
  set(CXX c++)
endif()
set(flags -std=c++20 -O0 -w -DDOCTEST_CONFIG_IMPLEMENT_WITH_MAIN -DESPALIER_TEST_ORACLE_ONLY -I${SOURCE}/tests/support)
if(DOCTEST)
  list(APPEND flags -isystem ${DOCTEST})
endif()
file(REMOVE_RECURSE ${WORK})
file(COPY ${SOURCE}/include DESTINATION ${WORK})

# Those of the file that `concerned` names.
set(concerned nn/gradients)
function(run_gradient_tests result)
  execute_process(COMMAND ${CXX} ${flags} -I${WORK}/include ${SOURCE}/tests/${concerned}.test.cpp -o ${WORK}/gradients
                  RESULT_VARIABLE built ERROR_VARIABLE message)
  if(NOT built EQUAL 0)
    message(FATAL_ERROR "the gradient tests do not compile:\n${message}")
  endif()
  execute_process(COMMAND ${WORK}/gradients RESULT_VARIABLE code OUTPUT_QUIET ERROR_QUIET)
  set(${result} ${code} PARENT_SCOPE)
endfunction()

if(NOT PARTS)
  set(PART 0)
  set(PARTS 1)
endif()
foreach(concerned IN ITEMS adapter/sequential_gradients nn/language_head nn/gradients)
  if(PART EQUAL 0)
    run_gradient_tests(code)
    if(NOT code EQUAL 0)
      message(FATAL_ERROR "tests/${concerned}.test.cpp fails without any fault planted")
    endif()
  endif()
endforeach()
set(concerned nn/gradients)
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
  run_gradient_tests(code)
  file(WRITE ${path} "${sound}")
  if(code EQUAL 0)
    message("MISSED  ${file}: ${name}")
    math(EXPR missed "${missed} + 1")
  else()
    message("caught  ${file}: ${name}")
    math(EXPR caught "${caught} + 1")
  endif()
  set(missed ${missed} PARENT_SCOPE)
  set(caught ${caught} PARENT_SCOPE)
endfunction()

# file, the fault, what stands there, what is put in its place
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

message("${caught} faults caught, ${missed} missed")
if(missed GREATER 0 OR caught EQUAL 0)
  message(FATAL_ERROR "faults went unnoticed")
endif()
