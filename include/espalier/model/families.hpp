// SPDX-License-Identifier: MIT
#pragma once
// Every family of models that files are read for: the one list that a new one joins.
#include <espalier/model/bert_files.hpp>
#include <espalier/model/gpt2_files.hpp>
#include <espalier/model/llama_files.hpp>
#include <espalier/model/vit_files.hpp>
