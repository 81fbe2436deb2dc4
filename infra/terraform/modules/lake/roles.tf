# Three roles, each with the prefixes it needs. The writer may not delete versions, so what a faulty job overwrites can be brought back.

locals {
  # Written by `sanyu docs` from sanyu/lake/folders.py.
  folders = jsondecode(file("${path.module}/folders.json"))

  roles = {
    writer = {
      read  = local.folders[*].name
      write = local.folders[*].name
    }
    reader = {
      read  = [for folder in local.folders : folder.name if contains(folder.readers, "reader")]
      write = []
    }
    consumer = {
      read  = [for folder in local.folders : folder.name if contains(folder.readers, "consumer")]
      write = []
    }
  }
}

data "aws_iam_policy_document" "trust" {
  for_each = local.roles

  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = var.trusted_principals[each.key]
    }
  }
}

data "aws_iam_policy_document" "access" {
  for_each = local.roles

  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.lake.arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = flatten([for prefix in each.value.read : [prefix, "${prefix}/*"]])
    }
  }

  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = [for prefix in each.value.read : "${aws_s3_bucket.lake.arn}/${prefix}/*"]
  }

  statement {
    sid       = "Decrypt"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.lake.arn]
  }

  dynamic "statement" {
    for_each = length(each.value.write) > 0 ? [each.value.write] : []
    content {
      sid       = "Write"
      actions   = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
      resources = [for prefix in statement.value : "${aws_s3_bucket.lake.arn}/${prefix}/*"]
    }
  }

  dynamic "statement" {
    for_each = length(each.value.write) > 0 ? [1] : []
    content {
      sid       = "Encrypt"
      actions   = ["kms:GenerateDataKey"]
      resources = [aws_kms_key.lake.arn]
    }
  }
}

resource "aws_iam_role" "lake" {
  for_each = local.roles

  name               = "sanyu-${var.environment}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
  tags               = local.tags
}

resource "aws_iam_role_policy" "lake" {
  for_each = local.roles

  name   = "lake"
  role   = aws_iam_role.lake[each.key].id
  policy = data.aws_iam_policy_document.access[each.key].json
}
